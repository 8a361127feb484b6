//! What a request is answered with.

/// A status of RFC 9110, section 15.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Status {
    /// 101
    SwitchingProtocols,
    /// 200
    Ok,
    /// 204
    NoContent,
    /// 400
    BadRequest,
    /// 404
    NotFound,
    /// 405
    MethodNotAllowed,
    /// 408
    RequestTimeout,
    /// 413
    ContentTooLarge,
    /// 414
    UriTooLong,
    /// 417
    ExpectationFailed,
    /// 431, of RFC 6585, section 5
    HeaderFieldsTooLarge,
    /// 500
    InternalServerError,
    /// 501
    NotImplemented,
    /// 505
    VersionNotSupported,
}

impl Status {
    /// Returns the code and the reason, and a line break.
    pub(crate) const fn line(self) -> &'static str {
        match self {
            Self::SwitchingProtocols => "101 Switching Protocols\r\n",
            Self::Ok => "200 OK\r\n",
            Self::NoContent => "204 No Content\r\n",
            Self::BadRequest => "400 Bad Request\r\n",
            Self::NotFound => "404 Not Found\r\n",
            Self::MethodNotAllowed => "405 Method Not Allowed\r\n",
            Self::RequestTimeout => "408 Request Timeout\r\n",
            Self::ContentTooLarge => "413 Content Too Large\r\n",
            Self::UriTooLong => "414 URI Too Long\r\n",
            Self::ExpectationFailed => "417 Expectation Failed\r\n",
            Self::HeaderFieldsTooLarge => "431 Request Header Fields Too Large\r\n",
            Self::InternalServerError => "500 Internal Server Error\r\n",
            Self::NotImplemented => "501 Not Implemented\r\n",
            Self::VersionNotSupported => "505 HTTP Version Not Supported\r\n",
        }
    }
}

/// What a request is answered with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    /// 200 with this text.
    Text(&'static str),
    /// 200 with so many bytes of [`PATTERN`](super::PATTERN).
    Pattern(u64),
    /// 200 with the request's own body, as it comes.
    Echo,
    /// 200 with the counters of the loop.
    Stats,
    /// 200 with the state of the loop and what the machine tells of itself.
    Report,
    /// 204 to an OPTIONS request: the methods that the target allows.
    Options(&'static str),
    /// 405: the methods that the target allows.
    Allow(&'static str),
    /// This status, with its own text as the body.
    Status(Status),
    /// 101: the connection goes over to this protocol after the request, whose body is dropped.
    Upgrade(&'static str),
}
