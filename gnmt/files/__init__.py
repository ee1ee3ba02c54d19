"""Reading and writing of text files, line by line and by several processes."""
