"""GatedConv: free-form inpainting with gated convolutions, DeepFill v2 (Yu et al., ICCV 2019)."""
