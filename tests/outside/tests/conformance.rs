//! The platform is held to the whole suite.

mod bed;

usockets_conformance::conformance!(bed::pipes);
