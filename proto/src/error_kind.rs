//! Why a request failed: one word for each cause, the same on the wire, in reports and in messages.

/// The cause of a failed request. The numbers are the wire's: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum ErrorKind {
    /// A response came whose status lies in an error range.
    Status = 0,
    /// The target refused the connection.
    ConnectRefused = 1,
    /// No connection within the timeout.
    ConnectTimeout = 2,
    /// Any other failure to connect: no route, network unreachable.
    ConnectFailed = 3,
    /// The name has no address.
    Resolve = 4,
    /// This machine has no descriptor or port left for another connection.
    Exhausted = 5,
    /// No complete response within the timeout.
    Timeout = 6,
    /// The target reset the connection.
    Reset = 7,
    /// The target closed the connection before the response was complete.
    EarlyClose = 8,
    /// What came is not an HTTP response.
    Malformed = 9,
    /// The head of the response is larger than the bound.
    HeadTooLarge = 10,
    /// The body of the response is larger than the bound.
    BodyTooLarge = 11,
    /// A response came and does not hold what the test's checks ask for.
    Check = 12,
    /// A response came without the value that a step was to take from it.
    Capture = 13,
    /// The TLS handshake failed.
    TlsHandshake = 14,
    /// The target's certificate is not one to trust: expired, for another name, of an unknown issuer.
    Certificate = 15,
    /// The target does not speak the protocol that the test asks for (ALPN).
    Alpn = 16,
    /// The server reset the stream (HTTP/2 RST_STREAM).
    StreamReset = 17,
    /// The server would not take the stream up, however often it was sent.
    StreamRefused = 18,
    /// A gRPC status other than OK.
    GrpcStatus = 19,
}

/// How many kinds there are: the length of a table indexed by kind.
pub const ERROR_KINDS: usize = 20;

impl ErrorKind {
    /// All kinds in the order of their numbers.
    pub const ALL: [ErrorKind; ERROR_KINDS] = [
        ErrorKind::Status,
        ErrorKind::ConnectRefused,
        ErrorKind::ConnectTimeout,
        ErrorKind::ConnectFailed,
        ErrorKind::Resolve,
        ErrorKind::Exhausted,
        ErrorKind::Timeout,
        ErrorKind::Reset,
        ErrorKind::EarlyClose,
        ErrorKind::Malformed,
        ErrorKind::HeadTooLarge,
        ErrorKind::BodyTooLarge,
        ErrorKind::Check,
        ErrorKind::Capture,
        ErrorKind::TlsHandshake,
        ErrorKind::Certificate,
        ErrorKind::Alpn,
        ErrorKind::StreamReset,
        ErrorKind::StreamRefused,
        ErrorKind::GrpcStatus,
    ];

    /// The kind with this number on the wire.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.get(number as usize).copied()
    }

    /// The word used in reports.
    pub fn name(self) -> &'static str {
        match self {
            ErrorKind::Status => "status",
            ErrorKind::ConnectRefused => "connect-refused",
            ErrorKind::ConnectTimeout => "connect-timeout",
            ErrorKind::ConnectFailed => "connect-failed",
            ErrorKind::Resolve => "resolve",
            ErrorKind::Exhausted => "exhausted",
            ErrorKind::Timeout => "timeout",
            ErrorKind::Reset => "reset",
            ErrorKind::EarlyClose => "early-close",
            ErrorKind::Malformed => "malformed",
            ErrorKind::HeadTooLarge => "head-too-large",
            ErrorKind::BodyTooLarge => "body-too-large",
            ErrorKind::Check => "check",
            ErrorKind::Capture => "capture",
            ErrorKind::TlsHandshake => "tls-handshake",
            ErrorKind::Certificate => "certificate",
            ErrorKind::Alpn => "alpn",
            ErrorKind::StreamReset => "stream-reset",
            ErrorKind::StreamRefused => "stream-refused",
            ErrorKind::GrpcStatus => "grpc-status",
        }
    }

    /// The kind a report names so.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_round_trip() {
        for (number, kind) in ErrorKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, number);
            assert_eq!(ErrorKind::from_number(number as u32), Some(kind));
            assert_eq!(ErrorKind::from_name(kind.name()), Some(kind));
        }
        assert_eq!(ErrorKind::from_number(99), None);
    }
}
