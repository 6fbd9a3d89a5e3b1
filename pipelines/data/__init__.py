"""Raw images to shards: adapters, shards and their index, evaluation masks, automatic labels."""
