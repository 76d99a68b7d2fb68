attack = demonstration
