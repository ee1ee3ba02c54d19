"""The network of gnmt behind fairseq's interfaces."""
