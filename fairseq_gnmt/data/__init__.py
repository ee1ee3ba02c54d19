"""Text before `fairseq-preprocess`: cleaning of parallel text, subwords, words and characters.

The modules here need neither torch nor fairseq. Those that are commands (`python -m fairseq_gnmt.data.cleaning`) are
imported neither by this package nor by the plugin, so that they are not loaded twice.
"""
