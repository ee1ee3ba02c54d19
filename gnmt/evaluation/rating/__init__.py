"""Side-by-side rating of translations by people, from 0 to 6 (Wu et al. 2016)."""
