def bill(now, manifest):
    replicas, cpu, mib = (manifest.get(name, now[name]) for name in ("replicas", "cpu", "memory_mib"))
    return replicas * cpu * 25.0 + replicas * mib * 3.5 / 1024
