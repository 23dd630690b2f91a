"""The prepared store: raw layouts converted once, unit by unit, into records that open at once; read, written, checked."""
