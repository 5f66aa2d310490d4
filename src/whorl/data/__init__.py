"""Problems, trees and examples on disk, and made-up problems."""
