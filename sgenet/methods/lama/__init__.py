"""LaMa: large masks by Fourier convolutions (Suvorov et al., WACV 2022)."""
