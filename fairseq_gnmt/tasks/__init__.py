"""fairseq's task `gnmt_translation`."""
