"""The book's exercises: generate what students get, restore what editors lose, grade what comes back.

Everything starts from ``exercises/source/NAME/NAME.ipynb``, an nbgrader notebook with solutions and hidden tests.
``python -m cvprod.exercises --help`` lists the commands. Grading runs the student's code: do it where that
code can do no harm (a container, a throw-away account).
"""
