"""The task `gnmt_translation`."""
