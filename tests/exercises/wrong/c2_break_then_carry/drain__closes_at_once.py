drain = at_once
