"""The search of gnmt with fairseq's interface of generators."""
