"""nbgrader's settings for this course: `cd exercises && nbgrader generate_assignment 01a_percentiles`, and so on.

Generating and grading need none of it (python -m cvprod.exercises); this is for courses that keep a gradebook.
"""

c = get_config()  # noqa: F821

c.CourseDirectory.course_id = "computer-vision-in-production"
# A library's warning on stderr is no failure; without this nbgrader takes the points away.
c.IgnorePattern.enabled = True
c.IgnorePattern.pattern = r"[\s\S]"
# Students delete cells; a test that is gone comes back instead of breaking the grading.
c.OverwriteCells.add_missing_cells = True
c.Execute.timeout = 120
