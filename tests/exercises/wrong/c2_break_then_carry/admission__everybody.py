Admission = Everybody
