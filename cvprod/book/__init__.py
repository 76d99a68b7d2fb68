"""The book's build: which chapters run, what is kept of them, and the rules that every notebook keeps."""
