"""EdgeConnect: edges first, then the image along them (Nazeri et al., ICCV workshops 2019)."""
