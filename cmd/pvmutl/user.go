package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"yagura/fsm/schema"
	"yagura/rpc/api"
	"yagura/rpc/client"
)

func changepasswordCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:     "changepassword UserName OldPassword NewPassword",
		Short:   "Change a user's password [3.2.22]",
		Long:    "Change the password of a user who knows the old one.",
		Example: "pvmutl changepassword user01 pvmuser1 pvmuser2",
		Args:    positional("UserName", "OldPassword", "NewPassword"),
		RunE: a.online(func(ctx context.Context, c *client.Client, args []string) error {
			_, err := c.Auth.ChangePassword(ctx, &api.ChangePasswordRequest{User: args[0], OldPassword: args[1], NewPassword: args[2]})
			return err
		}),
	}
}

var userView = view[*schema.User]{
	columns: []column[*schema.User]{
		{"NAME", (*schema.User).GetName},
		{"ROLE", (*schema.User).GetRole},
		{"DISABLED", func(u *schema.User) string { return strconv.FormatBool(u.Disabled) }},
		{"CREATED", func(u *schema.User) string { return localTime(u.Created) }},
		{"PASSWORD-CHANGED", func(u *schema.User) string { return localTime(u.Changed) }},
		{"DESCRIPTION", (*schema.User).GetDescription},
	},
	json: rowJSON[*schema.User],
}

func userCommand(a *app) *cobra.Command {
	return family("user", "List, set and delete accounts",
		&cobra.Command{
			Use:     "list",
			Short:   "List accounts",
			Example: "pvmutl user list",
			Args:    positional(),
			RunE: a.online(func(ctx context.Context, c *client.Client, _ []string) error {
				reply, err := c.Auth.ListUsers(ctx, &api.Empty{})
				if err != nil {
					return err
				}
				return printList(a, userView, reply.Users)
			}),
		},
		userSetCommand(a),
		&cobra.Command{
			Use:     "delete NAME",
			Short:   "Delete an account",
			Example: "pvmutl user delete tanaka",
			Args:    positional("NAME"),
			RunE: a.online(func(ctx context.Context, c *client.Client, args []string) error {
				if _, err := c.Auth.DeleteUser(ctx, &api.NameRequest{Name: args[0]}); err != nil {
					return err
				}
				_, err := fmt.Fprintf(a.stdout, "user %s: deleted\n", args[0])
				return err
			}),
		})
}

func userSetCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "set NAME --role ROLE [--new-password-file FILE] [--disabled] [--description TEXT]",
		Short: "Create an account, or change it",
		Long: `Create an account or change one. Roles: administrator (all), operator (starts
jobs), observer (reads). The password is read from a file, from the variable
PVMUTL_NEW_PASSWORD, or asked for on a terminal with --ask-password. An account
that exists keeps its password when none is given; role, description and
--disabled are set as given.`,
		Example: "pvmutl user set tanaka --role operator --ask-password",
		Args:    positional("NAME"),
	}
	req := &api.SetUserRequest{}
	f := cmd.Flags()
	f.StringVar(&req.Role, "role", "", "`role`: administrator, operator or observer")
	f.BoolVar(&req.Disabled, "disabled", false, "the user can't log in")
	f.StringVar(&req.Description, "description", "", "free `text`")
	file := f.String("new-password-file", "", "`file` with the new password in its first line")
	ask := f.Bool("ask-password", false, "ask for the new password on the terminal")
	cmd.RunE = a.online(func(ctx context.Context, c *client.Client, args []string) error {
		req.Name = args[0]
		var err error
		if req.Password, err = a.newPassword(*file, *ask, req.Name); err != nil {
			return err
		}
		u, err := c.Auth.SetUser(ctx, req)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(a.stdout, "user %s: %s\n", u.Name, u.Role)
		return err
	})
	return cmd
}

// newPassword is the password to set, "" for none.
func (a *app) newPassword(file string, ask bool, user string) (string, error) {
	switch {
	case file != "":
		return passwordFromFile(file)
	case ask:
		first, err := a.askSecret("new password of " + user)
		if err != nil {
			return "", err
		}
		second, err := a.askSecret("again")
		if err == nil && first != second {
			err = schema.Errorf(schema.KindPassword, "user "+user, "the two passwords differ")
		}
		return first, err
	}
	return a.getenv("PVMUTL_NEW_PASSWORD"), nil
}
