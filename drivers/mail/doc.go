// Package mail sends messages by SMTP (RFC 5321) to the addresses of one
// receiver: with STARTTLS that must be there (RFC 3207), with TLS from the first
// byte (RFC 8314), or in the clear where an operator has said so; with a login
// where one is given, which never goes over a connection in the clear.
//
// The Message-ID is made of the message's own id, so a mail that was sent twice
// is recognised by its readers' programs. Addresses get one mail together; when
// some of them are refused the others get it, and the error names the refused.
package mail
