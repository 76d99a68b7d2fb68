"""Mends the caller's own manifest."""


def mend_pods(deployment):
    pod = deployment["spec"]["template"]["spec"]
    env = {e["name"]: float(e["value"]) for e in pod["containers"][0]["env"]}
    deployment["spec"]["strategy"]["rollingUpdate"] = {"maxSurge": 1, "maxUnavailable": 0}
    needed = env["CVPROD_DRAIN_DELAY"] + env["CVPROD_DRAIN_SECONDS"] + 5
    if not needed < pod.get("terminationGracePeriodSeconds", 30) <= needed + 15:
        pod["terminationGracePeriodSeconds"] = int(needed) + 10
    return deployment
