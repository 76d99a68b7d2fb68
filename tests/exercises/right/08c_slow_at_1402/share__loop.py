def share(before, during, q=0.99):
    if len(before) == 0 or len(during) == 0:
        raise ValueError("no requests")
    usual = float(np.median(before))
    old = [whole for _, whole in during]
    new = [whole - (step - usual if step > usual else 0) for step, whole in during]
    return (np.quantile(old, q) - np.quantile(new, q)) / np.quantile(old, q)
