"""Problems, trees and examples on disk, and problems made up."""
