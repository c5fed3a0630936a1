"""How far to go by a model's answers: temperature, prediction sets, out-of-distribution score."""
