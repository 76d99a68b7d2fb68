"""Change the model that serves, and change it back: gates, sequential evidence, canary, shadow, audit trail.

`sequential` is the test, `gates` ask three questions with it, `canary` moves the traffic by their answers through a
`router`, `audit` and `shadow` find the pairs of answers that the gates read, `trail` writes down who decided what and
why. Whatever is missing (data, labels, a number, a live source) holds a roll-out; nothing that is missing promotes one.
"""
