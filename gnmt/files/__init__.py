"""Files and folders: lines of text, atomic outputs, locks, checksums."""
