"""Steps from one event to the next."""


def finish(arrivals, most, wait, fixed, each):
    waiting, done, now = list(arrivals), [], 0.0
    while waiting:
        there = [a for a in waiting if a <= now]
        ready = there and (len(there) >= most or len(there) == len(waiting) or now >= there[0] + wait)
        if not ready:
            moments = [a for a in waiting if a > now]
            if there and there[0] + wait > now:
                moments.append(there[0] + wait)
            now = min(moments)
            continue
        batch = there[:most]
        now += fixed + len(batch) * each
        done += [now] * len(batch)
        waiting = waiting[len(batch) :]
    return done
