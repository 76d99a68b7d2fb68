"""What can be done to the model and to the people in its data, and what stands against it.

    attacks     evasion: noise, FGSM, PGD on tiles, in grey levels
    api         attacks through the service: how it answers to tiles, over HTTP
    extraction  a copy of the model, learnt from its answers
    harden      adversarial training of the small student (`weights/`)
    membership  was this tile in the training set?
    private     DP-SGD on the head, the head on ciphertexts, split inference and what leaks
    federated   three plants, one head
    stores      retention and erasure over everything that the service writes
    audit       a log that shows when it was changed or cut
    signing     signatures of models

`python -m cvprod.security --help` lists the commands. Heavy libraries are imported by the functions that need them.
"""
