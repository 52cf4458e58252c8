"""Plain text: sentences, terms, numbers, links, and markup turned into text."""
