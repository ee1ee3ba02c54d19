"""Files and folders: lines of text, outputs that appear only when complete, locks, checksums."""
