#!/usr/bin/perl
# Reads header blocks, base64, one a line, with the address readers of Perl's
# Mail::Box, Email::Address and Mail::Address, each also over the decoded field.
# Prints for each a JSON object: per field, every address that one of them finds.
use strict;
use warnings;
use Email::Address;
use JSON::PP;
use Mail::Address;
use Mail::Message;
use MIME::Base64;

while (my $line = <STDIN>) {
    my $message = Mail::Message->read(decode_base64($line));
    my %found;
    for my $name (qw(From Sender To Cc Bcc)) {
        my @all;
        for my $field ($message->head->get($name)) {
            push @all, map { $_->address } grep { defined } $field->addresses;
            my $full = eval { $field->study };
            push @all, map { $_->address } grep { defined } $full->addresses
                if $full && $full->can('addresses');
            my $decoded = $full ? $full->decodedBody : '';
            for my $text ($field->unfoldedBody, $decoded) {
                push @all, map { $_->address } Email::Address->parse($text), Mail::Address->parse($text);
            }
        }
        $found{$name} = [map { defined ? $_ : '' } @all];
    }
    print encode_json(\%found), "\n";
}
