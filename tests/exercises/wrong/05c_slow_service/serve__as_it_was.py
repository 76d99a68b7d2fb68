serve = slow
