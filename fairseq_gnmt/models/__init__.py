"""The network of gnmt with fairseq's interfaces."""
