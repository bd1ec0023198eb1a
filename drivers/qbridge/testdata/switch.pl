# A switch of ten ports for net-snmp's snmpd: an AgentX agent with the parts of
# BRIDGE-MIB, Q-BRIDGE-MIB and IF-MIB that VLANs need. It holds the rules that
# strict switches have: PortLists of four octets, untagged members are members,
# a port is untagged in one VLAN, and a member of the VLAN of its PVID.
#
# Its folder is the first argument. A second one, serial, gives it an own
# snmpSetSerialNo: the one of net-snmp 5.9 takes no value. A file "mode" there changes how it answers:
# refuse (every change), deaf (takes changes and applies none), single (takes
# one variable a request), stubborn (so too, and no PVID is changed). What happens to ports is appended to "effects".
use strict;
use warnings;
use NetSNMP::agent (':all');
use NetSNMP::ASN   (':all');
use NetSNMP::OID;

my $dir   = shift or die "usage: switch.pl FOLDER [serial]\n";
my $lock  = '1.3.6.1.6.3.1.1.6.1.0';
my $q     = '1.3.6.1.2.1.17.7.1.4';
my $vlan  = "$q.3.1";
my $pvid  = "$q.5.1.1";
my $ports = 10;
my $empty = "\0\0\0\0";
my %m;

for my $p (1 .. $ports) {
    my $if = 100 + $p;
    $m{"1.3.6.1.2.1.17.1.4.1.2.$p"}     = [ ASN_INTEGER,   $if ];
    $m{"1.3.6.1.2.1.31.1.1.1.1.$if"}    = [ ASN_OCTET_STR, "ge-0/0/$p" ];
    $m{"1.3.6.1.2.1.2.2.1.2.$if"}       = [ ASN_OCTET_STR, "Port $p" ];
    $m{"1.3.6.1.2.1.2.2.1.8.$if"}       = [ ASN_INTEGER,   $p == 10 ? 2 : 1 ];
    $m{"$pvid.$p"}                      = [ ASN_GAUGE,     1 ];
}
$m{$lock} = [ ASN_INTEGER, 1 ] if ( shift // '' ) eq 'serial';
row( \%m, 1, 'default', pack( 'B32', '1' x $ports ) );

sub row {
    my ( $m, $id, $name, $list ) = @_;
    $m->{"$vlan.1.$id"} = [ ASN_OCTET_STR, $name ];
    $m->{"$vlan.2.$id"} = [ ASN_OCTET_STR, $list ];
    $m->{"$vlan.3.$id"} = [ ASN_OCTET_STR, $empty ];
    $m->{"$vlan.4.$id"} = [ ASN_OCTET_STR, $list ];
    $m->{"$vlan.5.$id"} = [ ASN_INTEGER,   1 ];
}

sub mode {
    open( my $f, '<', "$dir/mode" ) or return '';
    my $line = <$f> // '';
    chomp $line;
    return $line;
}

sub order {
    my @x = split /\./, $_[0];
    my @y = split /\./, $_[1];
    for my $i ( 0 .. ( $#x < $#y ? $#x : $#y ) ) {
        return $x[$i] <=> $y[$i] if $x[$i] != $y[$i];
    }
    return @x <=> @y;
}

# octets reads a value as the library prints it: "text" or "XX XX ".
sub octets {
    my ($v) = @_;
    $v =~ s/^"(.*)"$/$1/s;
    return pack( 'H*', $v =~ s/ //gr ) if $v =~ /^(?:[0-9A-F]{2} )+$/;
    return $v;
}

sub has { my ( $list, $p ) = @_; return substr( unpack( 'B*', $list ), $p - 1, 1 ) }

# apply returns the state with all changes, or the error and whose it is.
sub apply {
    my %n = %m;
    for my $c ( sort { $a->[3] <=> $b->[3] } @_ ) {
        my ( $oid, $v, $r ) = @$c;
        if ( $oid =~ /^\Q$vlan\E\.5\.(\d+)$/ ) {
            if ( $v == 4 ) {
                return ( undef, SNMP_ERR_INCONSISTENTVALUE, $r ) if $n{$oid};
                row( \%n, $1, '', $empty );
            }
            elsif ( $v == 6 ) { delete $n{"$vlan.$_.$1"} for 1 .. 5 }
        }
        elsif ( !$n{$oid} ) { return ( undef, SNMP_ERR_NOCREATION, $r ) }
        elsif ( $oid eq $lock ) {
            return ( undef, SNMP_ERR_INCONSISTENTVALUE, $r ) if $v != $n{$oid}[1];
            $n{$oid} = [ ASN_INTEGER, $v + 1 ];
        }
        elsif ( $oid =~ /^\Q$vlan\E\.[24]\./ ) {
            return ( undef, SNMP_ERR_WRONGLENGTH, $r ) if length($v) != 4;
            $n{$oid} = [ ASN_OCTET_STR, $v ];
        }
        elsif ( $oid =~ /^\Q$vlan\E\.1\./ ) { $n{$oid} = [ ASN_OCTET_STR, $v ] }
        elsif ( $oid =~ /^\Q$pvid\E\./ )    { $n{$oid} = [ ASN_GAUGE,     $v ] }
        else                                { return ( undef, SNMP_ERR_NOTWRITABLE, $r ) }
    }
    my @ids = map { /^\Q$vlan\E\.5\.(\d+)$/ ? $1 : () } keys %n;
    for my $p ( 1 .. $ports ) {
        my $untagged = 0;
        for my $id (@ids) {
            next unless has( $n{"$vlan.4.$id"}[1], $p );
            $untagged++;
            return ( undef, SNMP_ERR_INCONSISTENTVALUE, $_[0][2] ) unless has( $n{"$vlan.2.$id"}[1], $p );
        }
        my $own = $n{"$vlan.2.$n{qq($pvid.$p)}[1]"};
        return ( undef, SNMP_ERR_INCONSISTENTVALUE, $_[0][2] ) if $untagged > 1 || !$own || !has( $own->[1], $p );
    }
    return ( \%n, 0 );
}

sub record {
    my ($n) = @_;
    open( my $f, '>>', "$dir/effects" ) or die "effects: $!";
    for my $id ( map { /^\Q$vlan\E\.5\.(\d+)$/ && $1 != 1 ? $1 : () } keys %{ { %m, %$n } } ) {
        for my $p ( 1 .. $ports ) {
            my ( $was, $is ) = map { $_->{"$vlan.2.$id"} ? has( $_->{"$vlan.2.$id"}[1], $p ) : 0 } ( \%m, $n );
            print $f ( $is ? 'vlan-add' : 'vlan-remove' ), " ge-0/0/$p $id\n" if $was != $is;
        }
    }
    close $f;
}

# after is the name behind $oid; the sorted names are kept while %m stays.
my @sorted;

sub after {
    my ($oid) = @_;
    @sorted = sort { order( $a, $b ) } keys %m if !@sorted;
    my ( $lo, $hi ) = ( 0, scalar @sorted );
    while ( $lo < $hi ) {
        my $mid = int( ( $lo + $hi ) / 2 );
        order( $sorted[$mid], $oid ) <= 0 ? ( $lo = $mid + 1 ) : ( $hi = $mid );
    }
    return $sorted[$lo];
}

my @pending;
my $next;

sub handler {
    my ( $h, $reg, $info, $requests ) = @_;
    my $mode = $info->getMode();
    for ( my $r = $requests ; $r ; $r = $r->next() ) {
        my $oid = join '.', $r->getOID()->to_array();
        if ( $mode == MODE_GET ) {
            $r->setValue( @{ $m{$oid} } ) if $m{$oid};
        }
        elsif ( $mode == MODE_GETNEXT ) {
            my $k = after($oid) // next;
            $r->setOID(".$k");
            $r->setValue( @{ $m{$k} } );
        }
        elsif ( $mode == MODE_SET_RESERVE1 ) {
            my $v = $r->getValue();
            push @pending, [ $oid, $oid =~ /^\Q$vlan\E\.[1-4]\./ ? octets($v) : $v, $r, $oid =~ /^\Q$vlan\E\.5\./ ? 0 : 1 ];
            $r->setError( $info, SNMP_ERR_NOTWRITABLE ) if mode() eq 'refuse';
            $r->setError( $info, SNMP_ERR_GENERR ) if mode() =~ /single|stubborn/ && @pending > 1;
            $r->setError( $info, SNMP_ERR_NOTWRITABLE ) if mode() eq 'stubborn' && $oid =~ /^\Q$pvid/;
        }
        elsif ( $mode == MODE_SET_RESERVE2 && !$next ) {
            my ( $n, $err, $at ) = apply(@pending);
            $err ? $at->setError( $info, $err ) : ( $next = $n );
        }
        elsif ( $mode == MODE_SET_COMMIT && $next ) {
            if ( mode() ne 'deaf' ) {
                record($next);
                %m      = %$next;
                @sorted = ();
            }
            undef $next;
            @pending = ();
        }
        elsif ( $mode == MODE_SET_FREE || $mode == MODE_SET_UNDO ) {
            undef $next;
            @pending = ();
        }
    }
}

my $agent = NetSNMP::agent->new( Name => 'switch', AgentX => 1 );
for my $oid ( '1.3.6.1.2.1.17', '1.3.6.1.2.1.31.1.1.1', '1.3.6.1.2.1.2.2.1', $m{$lock} ? $lock : () ) {
    $agent->register( "switch-$oid", ".$oid", \&handler ) or die "$oid can't be registered\n";
}
$SIG{TERM} = sub { $agent->shutdown(); exit 0 };
$agent->agent_check_and_process(1) while 1;
