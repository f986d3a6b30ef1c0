import unittest

from greeting import greeting


class Greeting(unittest.TestCase):
    def test_greets_by_name(self):
        self.assertEqual(greeting("/Ada%20L"), "Hello, Ada L!\n")

    def test_greets_the_world_without_one(self):
        self.assertEqual(greeting("/"), "Hello, world!\n")
