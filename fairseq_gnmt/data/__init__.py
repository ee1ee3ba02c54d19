"""Text before `fairseq-preprocess`: cleaning of parallel text, and subwords.

The modules here need neither torch nor fairseq. They are not imported by this package, so that each
can be run as a command (`python -m fairseq_gnmt.data.cleaning`) without being loaded twice.
"""
