from setuptools import find_packages, setup
setup(name='hmradapter', version='0.1.0', packages=find_packages(include=['hmradapter*']))
