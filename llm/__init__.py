"""Messages in, completions out: any OpenAI-compatible endpoint. No Django, no domain words."""
