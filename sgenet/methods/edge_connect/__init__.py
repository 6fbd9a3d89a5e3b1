"""EdgeConnect: edges first, then the picture along them (Nazeri et al., ICCV workshops 2019)."""
