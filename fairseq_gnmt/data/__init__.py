"""Names under which `python -m fairseq_gnmt.data.subwords` and its like ran until 0.1; they forward to `gnmt`."""
