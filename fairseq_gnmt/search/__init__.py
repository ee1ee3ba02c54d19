"""The search of gnmt behind fairseq's interface of generators."""
