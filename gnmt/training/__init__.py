"""Settings of trainings on prepared data, and the note of a finished one. Training itself is fairseq-train."""
