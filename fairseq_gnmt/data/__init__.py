"""Former modules of commands such as `python -m fairseq_gnmt.data.subwords`; they forward to `gnmt`."""
