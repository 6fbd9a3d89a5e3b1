"""The user study (Table 2): pairs of fillings, votes on them, and what the votes say."""
