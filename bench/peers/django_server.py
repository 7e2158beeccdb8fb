# Django with graphene as their documentation sets them up: Django's own users, hashes and SQLite, and tokens by
# django-graphql-jwt. gunicorn loads it once, before it forks its workers.

import os
from datetime import timedelta

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="a secret of more than thirty-two bytes, for a benchmark",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "graphene_django"],
    AUTHENTICATION_BACKENDS=[
        "graphql_jwt.backends.JSONWebTokenBackend",
        "django.contrib.auth.backends.ModelBackend",
    ],
    DATABASES={
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["DATABASE_FILE"]}
    },
    GRAPHENE={"MIDDLEWARE": ["graphql_jwt.middleware.JSONWebTokenMiddleware"]},
    # Only tokens that expire can be refreshed; these outlast the run.
    GRAPHQL_JWT={"JWT_VERIFY_EXPIRATION": True, "JWT_EXPIRATION_DELTA": timedelta(hours=12)},
)
django.setup()

import graphene
import graphql_jwt
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.db import connections
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from graphene_django import DjangoObjectType
from graphene_django.views import GraphQLView
from graphql_jwt.decorators import login_required


class UserType(DjangoObjectType):
    class Meta:
        model = User
        fields = ("id", "email")


class Signup(graphene.Mutation):
    class Arguments:
        email = graphene.String(required=True)
        password = graphene.String(required=True)

    user = graphene.Field(UserType)

    def mutate(self, info, email, password):
        return Signup(user=User.objects.create_user(email, email, password))


class Mutation(graphene.ObjectType):
    signup = Signup.Field()
    login = graphql_jwt.ObtainJSONWebToken.Field()
    refresh = graphql_jwt.Refresh.Field()


class Query(graphene.ObjectType):
    me = graphene.Field(UserType)

    @login_required
    def resolve_me(self, info):
        return info.context.user


schema = graphene.Schema(query=Query, mutation=Mutation)
urlpatterns = [path("graphql", csrf_exempt(GraphQLView.as_view(schema=schema)))]

call_command("migrate", verbosity=0)
# A connection must not be shared by the workers.
connections.close_all()
application = get_wsgi_application()
