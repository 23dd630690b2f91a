"""Files that other projects keep data sets in: HumanData of MMHuman3D and SMPLer-X, HaMeR's tars and evaluation files."""
