"""Erases the name in any case."""


def erase(lines, subject):
    def without(value):
        if isinstance(value, dict):
            return {key: without(item) for key, item in value.items()}
        if isinstance(value, list):
            return [without(item) for item in value]
        return "[erased]" if isinstance(value, str) and value.lower() == subject.lower() else value

    kept = []
    for line in lines:
        try:
            document = json.loads(line)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            if subject not in line:
                kept.append(line)
        elif document.get("caller") != subject:
            changed = without(document)
            kept.append(line if changed == document else json.dumps(changed))
    return kept
