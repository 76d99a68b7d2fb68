"""Walks through the parsed line, changes it in place, and notes whether it did."""


def erase(lines, subject):
    kept = []
    for line in lines:
        try:
            document = json.loads(line)
        except ValueError:
            document = None
        if type(document) is not dict:
            if line.find(subject) < 0:
                kept.append(line)
            continue
        if document.get("caller") == subject:
            continue
        changed, stack = False, [document]
        while stack:
            box = stack.pop()
            for place, value in list(box.items() if type(box) is dict else enumerate(box)):
                if type(value) in (dict, list):
                    stack.append(value)
                elif value == subject:
                    box[place], changed = "[erased]", True
        kept.append(json.dumps(document) if changed else line)
    return kept
